import { describe, expect, it } from 'vitest'
import { rustTypes } from '../src/rust-types.js'

describe('types for Rust', () => {
  it('have the names of the tool, and what is not always there as Option', () => {
    const text = rustTypes({
      Answers: { type: 'object', properties: {} },
      Finding: {
        type: 'object',
        description: 'What a check\n says.',
        properties: {
          type: { type: 'string' },
          keyBase64: { type: 'string' },
          lagMs: { type: ['number', 'null'] },
          level: { type: 'string', enum: ['info', 'fail'] },
          facts: { type: 'object', additionalProperties: { type: 'string' } },
          children: { type: 'array', items: { $ref: '#/definitions/Finding' } },
          error: { anyOf: [{ $ref: '#/definitions/Told' }, { type: 'null' }] },
        },
        required: ['type', 'keyBase64', 'lagMs', 'level', 'facts', 'error'],
      },
      RunState: { type: 'string', enum: ['RUNNING', 'ROLLED_BACK'] },
    })
    expect(text).not.toContain('Answers')
    expect(text).toContain('/// What a check says.\n')
    for (const field of [
      'pub r#type: String,',
      'pub key_base64: String,',
      'pub lag_ms: Option<f64>,',
      'pub level: FindingLevel,',
      'pub facts: BTreeMap<String, String>,',
      'pub children: Option<Vec<Finding>>,',
      'pub error: Option<Told>,',
    ])
      expect(text).toContain(`    ${field}\n`)
    expect(text).toMatch(/#\[serde\(default, skip_serializing_if = "Option::is_none"\)\]\s+pub children/)
    expect(text).toMatch(/pub enum FindingLevel \{[\s\S]*rename = "info"[\s\S]*Info,/)
    expect(text).toMatch(/rename = "ROLLED_BACK"\)\]\s+RolledBack,[\s\S]*#\[serde\(other\)\]\s+Other,/)
  })
})
