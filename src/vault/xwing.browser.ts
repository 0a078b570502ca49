/** X-Wing (KEM 0x647a) in JavaScript: browsers' own cryptography has no ML-KEM that could be relied on. */
export { KEM_MLKEM768_X25519 as xwing } from "@panva/hpke-noble"
