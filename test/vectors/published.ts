/** A handful of published vectors, typed in, so that something runs where the shared folder is absent. */

/** github.com/fernet/spec, generate.json. */
export const fernet = [
  {
    token: "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==",
    now: "1985-10-26T01:20:00-07:00",
    iv: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    src: "hello",
    secret: "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
    ttl_sec: 60,
  },
]

/** RFC 4231 §4.2, §4.3, §4.6 (a truncated tag), §4.7. */
export const hmac = {
  testGroups: [
    {
      tagSize: 256,
      tests: [
        {
          tcId: 1,
          key: "0b".repeat(20),
          msg: "4869205468657265",
          tag: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
          result: "valid",
        },
        {
          tcId: 2,
          key: "4a656665",
          msg: "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
          tag: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
          result: "valid",
        },
        {
          tcId: 6,
          key: "aa".repeat(131),
          msg: "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
          tag: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
          result: "valid",
        },
      ],
    },
    {
      tagSize: 128,
      tests: [
        {
          tcId: 5,
          key: "0c".repeat(20),
          msg: "546573742057697468205472756e636174696f6e",
          tag: "a3b6167473100ee06e0c796c2955552b",
          result: "valid",
        },
      ],
    },
  ],
}

/** RFC 5869 A.1. */
export const hkdf = {
  testGroups: [
    {
      tests: [
        {
          tcId: 1,
          ikm: "0b".repeat(22),
          salt: "000102030405060708090a0b0c",
          info: "f0f1f2f3f4f5f6f7f8f9",
          size: 42,
          okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
          result: "valid",
        },
      ],
    },
  ],
}

/** RFC 8032 §7.1, tests 1 to 3; and test 2's signature under test 3's key. */
const rfc8032 = [
  {
    pk: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    msg: "",
    sig: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    pk: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    msg: "72",
    sig: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    pk: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    msg: "af82",
    sig: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
] as const

export const ed25519 = {
  testGroups: [
    ...rfc8032.map(({ pk, msg, sig }, i) => ({
      publicKey: { pk },
      tests: [{ tcId: i + 1, msg, sig, result: "valid" }],
    })),
    { publicKey: { pk: rfc8032[2].pk }, tests: [{ tcId: 4, msg: "72", sig: rfc8032[1].sig, result: "invalid" }] },
  ],
}

/** The points of orders 1, 2, 4 and 8, and their non-canonical spellings ("Taming the many EdDSAs", 2020, table 1): verifiers differ on them, so none is taken in. */
export const smallOrderKeys = [
  `01${"00".repeat(31)}`,
  `ec${"ff".repeat(30)}7f`,
  "00".repeat(32),
  `${"00".repeat(31)}80`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  `01${"00".repeat(30)}80`,
  `ec${"ff".repeat(31)}`,
  `ee${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(31)}`,
  `ed${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(31)}`,
].map((pk) => ({ pk, result: "invalid" }) as const)
