/** Parts that reports and this page share come as markup, in which every text is escaped already. */
export function Html({ of, class: name }: { of: string; class?: string }) {
  return <div class={name} dangerouslySetInnerHTML={{ __html: of }} />
}
