import type { CliCommand } from "./command.ts"
import { logCheckpoint } from "./log-checkpoint.ts"
import { logMonitor } from "./log-monitor.ts"
import { logProve } from "./log-prove.ts"
import { logWitness } from "./log-witness.ts"

export const log: readonly CliCommand[] = [logCheckpoint, logProve, logMonitor, logWitness]
