/** 0 done, 1 failed, 2 usage or configuration, 3 differences, 4 refused by preflight, 130 interrupted. */
export const ExitCode = { done: 0, failed: 1, usage: 2, differences: 3, refused: 4, interrupted: 130 } as const
