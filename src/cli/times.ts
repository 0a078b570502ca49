/** How far an author's clock and the server's may lie apart before both are shown. */
const clocksApartMs = 5 * 60_000

/** A moment in the time zone of this program, which it names: 2026-11-23T10:14:00+01:00, with Z for UTC.
 * @param time milliseconds since 1970 */
export function momentOf(time: number): string {
  const east = -new Date(time).getTimezoneOffset()
  const clock = new Date(time + east * 60_000).toISOString().slice(0, 19)
  const two = (part: number) => String(Math.trunc(Math.abs(part))).padStart(2, "0")
  return east === 0 ? `${clock}Z` : `${clock}${east < 0 ? "-" : "+"}${two(east / 60)}:${two(east % 60)}`
}

/** When an entry was written: the author's word, and the server's where that is another. */
export function bothMoments({ time, serverTime }: { readonly time: number; readonly serverTime: number }): string {
  const apart = Math.abs(time - serverTime) > clocksApartMs
  return apart ? `${momentOf(time)}, the server says ${momentOf(serverTime)}` : momentOf(time)
}
