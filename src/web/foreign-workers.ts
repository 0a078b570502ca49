/** Ends every service worker of this origin: this product has none. One that is there was left by another program that stood at this address
 * before, and may have changed this very page. @returns whether the page is loaded anew */
export async function endForeignWorkers(): Promise<boolean> {
  // Without a secure context there are none.
  if (!("serviceWorker" in navigator)) return false
  const { serviceWorker } = navigator
  const found = await serviceWorker.getRegistrations().catch(() => [])
  const ended = await Promise.all(found.map((one) => one.unregister().catch(() => false)))
  if (serviceWorker.controller === null || !ended.includes(true)) return false
  location.reload()
  return true
}
