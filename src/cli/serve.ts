import { AppError } from "../errors.ts"
import type { CliCommand } from "./command.ts"

export const serve: CliCommand = {
  name: "serve",
  summary: "Run the server",
  options: [],
  async run() {
    throw new AppError("UNAVAILABLE", "The server is not there yet.")
  },
}
