import type { CliCommand } from "./command.ts"

/** First word of a command line → the commands that begin with it. Only what is asked for is loaded. */
export const commands: Readonly<Record<string, () => Promise<readonly CliCommand[]>>> = {
  serve: async () => [(await import("./serve.ts")).serve],
  accounts: async () => (await import("./accounts.ts")).accounts,
  register: async () => [(await import("./register.ts")).register],
  password: async () => [(await import("./password.ts")).password],
  reopen: async () => [(await import("./reopen.ts")).reopen],
  recover: async () => [(await import("./recover.ts")).recover],
  restored: async () => [(await import("./restored.ts")).restored],
  records: async () => [...(await import("./records.ts")).records, (await import("./watch.ts")).watch],
  physicians: async () => (await import("./physicians.ts")).physicians,
  share: async () => [(await import("./sharing.ts")).share],
  shares: async () => (await import("./sharing.ts")).shares,
  members: async () => [(await import("./sharing.ts")).members],
  unshare: async () => [(await import("./sharing.ts")).unshare],
  import: async () => [(await import("./import.ts")).importCommand],
  export: async () => [(await import("./export.ts")).exportCommand],
  token: async () => [(await import("./token.ts")).token],
  log: async () => (await import("./log.ts")).log,
  shell: async () => [(await import("./shell.ts")).shell],
  backup: async () => [(await import("./backup.ts")).backup],
  restore: async () => [(await import("./backup-restore.ts")).restore],
  verify: async () => [(await import("./verify.ts")).verify],
}

/** What a first word is about that has several commands. */
export const summaries: Readonly<Record<string, string>> = {
  accounts: "For whoever runs the server: invite, list, suspend and resume physicians",
  records: "List, show, add, edit, archive, watch records, and see their history",
  physicians: "Show a colleague's safety number, and verify them",
  shares: "List, accept and decline what colleagues share with you",
  log: "See that the practice's log only grows: checkpoint, prove, monitor, witness",
}
