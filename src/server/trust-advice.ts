import { X509Certificate } from "node:crypto"

/** What to tell whoever starts a server with a certificate of its own making.
 * @param file where the certificate that devices have to trust lies
 * @param root that certificate, PEM
 * @param names what the server's certificate is for */
export function trustAdvice(file: string, root: string, names: readonly string[]): string {
  return `This server's certificate comes from an authority that it made for itself, and that can certify this server alone.
It is for ${names.join(", ")}.
Every device has to trust the authority once:
  file          ${file} (no secret; bring it over by a way that you trust)
  SHA-256       ${new X509Certificate(root).fingerprint256}
  command line  HEALTHCRYPT_CA=${file}
  Debian        cp ${file} /usr/local/share/ca-certificates/healthcrypt.crt && update-ca-certificates
  macOS         security add-trusted-cert -d -k /Library/Keychains/System.keychain ${file}
  Windows       certutil -addstore -f Root ca.pem
  iOS, iPadOS   open the file on the device; Settings, Profile Downloaded, Install; then Settings, General, About, Certificate Trust
                Settings: switch it on
  Android       Settings, Security, Encryption & credentials, Install a certificate, CA certificate
  Chrome        Settings, Privacy and security, Security, Manage certificates, Import
  Firefox       Settings, Privacy & Security, View Certificates, Authorities, Import`
}

/** Why devices have to trust another authority from now on. */
export function newAuthorityAdvice(reason: "unconstrained" | "expires" | "lost", former: X509Certificate): string {
  const why = {
    unconstrained:
      "The authority that an earlier version of Healthcrypt made could certify any website, so that whoever got hold of its key could " +
      "have been any bank to your devices. A new one takes its place, which can certify this server alone.",
    expires: "The authority that devices trust has come to its end. A new one takes its place.",
    lost: "The authority that devices trust is not in the secrets folder any more, or is damaged. A new one takes its place.",
  }[reason]
  const name = former.subject.replace(/^CN=/, "")
  return (
    `${why} Every device has to trust the new one, as below. Remove the old one from every device that trusts it: ` +
    `"${name}", SHA-256 ${former.fingerprint256}.`
  )
}

/** @param missing what the machine goes by now, and the authority may not certify
 * @returns an empty text where there is nothing */
export function unpermittedAdvice(missing: readonly string[], authorityFile: string): string {
  if (missing.length === 0) return ""
  return (
    `Not certified: ${missing.join(", ")}. This machine did not go by that when its authority was made. Use one of its other names, or ` +
    `have a new authority made, which every device has to trust again: remove ${authorityFile} and start again.`
  )
}
