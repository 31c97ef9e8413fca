import { useState } from 'preact/hooks'

interface ConfirmFieldProps {
  /** What has to be typed. */
  readonly name: string
  readonly onConfirmed: (confirmed: boolean) => void
}

/** A person types a name to say that they mean it. */
export function ConfirmField({ name, onConfirmed }: ConfirmFieldProps) {
  const [typed, setTyped] = useState('')
  return (
    <label>
      Type <code>{name}</code> to confirm{' '}
      <input
        value={typed}
        onInput={({ currentTarget }) => {
          setTyped(currentTarget.value)
          onConfirmed(name !== '' && currentTarget.value.trim() === name)
        }}
        autocomplete="off"
        spellcheck={false}
      />
    </label>
  )
}
