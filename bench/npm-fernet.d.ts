/** What is used of npm's fernet, which brings no types. */
declare module "fernet" {
  class Secret {
    constructor(key: string)
  }
  class Token {
    constructor(options: { secret: Secret; token?: string; ttl?: number })
    encode(message: string): string
    decode(): string
  }
  const fernet: { readonly Secret: typeof Secret; readonly Token: typeof Token }
  export default fernet
}
