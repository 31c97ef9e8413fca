declare module 'virtual:page-style.css'
