/** The shapes of the published files, as far as they are read. */

export interface FernetCase {
  readonly token: string
  readonly now: string
  readonly secret: string
  readonly src?: string
  readonly desc?: string
  readonly ttl_sec?: number
  readonly iv?: readonly number[]
}

interface Case {
  readonly tcId: number
  readonly result: string
}

interface File<Item extends Case, Group = unknown> {
  readonly testGroups: readonly (Group & { readonly tests: readonly Item[] })[]
}

export type HmacFile = File<Case & { key: string; msg: string; tag: string }, { tagSize: number }>
export type HkdfFile = File<Case & { ikm: string; salt: string; info: string; size: number; okm: string }>
export type SignatureFile = File<Case & { msg: string; sig: string }, { publicKey: { pk: string } }>
export type CbcFile = File<Case & { key: string; iv: string; msg: string; ct: string }, { keySize: number }>

export interface PublicKeyCase {
  readonly pk: string
  readonly result: "valid" | "invalid"
}

export interface XwingCase {
  readonly seed: string
  readonly ss: string
  readonly sk: string
  readonly pk: string
  readonly ct: string
}

export interface InclusionCase {
  readonly desc: string
  readonly leafIdx: number
  readonly treeSize: number
  readonly root: string | null
  readonly leafHash: string | null
  readonly proof: readonly (string | null)[] | null
  readonly wantErr: boolean
}
