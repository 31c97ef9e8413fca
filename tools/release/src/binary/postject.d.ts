/** postject comes without types. */
declare module 'postject' {
  /** Puts a resource into an executable (ELF, Mach-O or PE), in place. */
  export function inject(
    file: string,
    resource: string,
    data: Buffer,
    options?: { readonly sentinelFuse?: string; readonly machoSegmentName?: string; readonly overwrite?: boolean },
  ): Promise<void>
}
