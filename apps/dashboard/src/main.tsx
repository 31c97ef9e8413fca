import 'virtual:page-style.css'
import './style.css'
import { render } from 'preact'
import { App } from './views/app.js'

render(<App />, document.getElementById('app')!)
