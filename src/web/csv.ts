/** Comma-separated values as RFC 4180 has them, every cell quoted. A cell that a spreadsheet would take for a formula begins with an
 * apostrophe, which spreadsheets show as text. */
export function toCsv(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("")
}

function cell(text: string): string {
  const asText = /^\s*[=+\-@＝＋－＠]/.test(text) || /^[\t\r\n]/.test(text) ? `'${text}` : text
  return `"${asText.replaceAll('"', '""')}"`
}
