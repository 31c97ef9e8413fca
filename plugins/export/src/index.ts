export { type ExportFormat, type ExportOptions, type ExportReport, exportFormatOf, runExport } from './export-run.js'
