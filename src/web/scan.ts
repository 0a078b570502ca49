/** Finds QR codes in pictures and before the camera. Loaded when somebody scans. */
import { decodeQR } from "qr/decode.js"

const largest = 1600
const everyMs = 120

/** @returns what the code says; null where there is none, or the file is no picture */
export async function readPicture(file: Blob): Promise<string | null> {
  const picture = await createImageBitmap(file).catch(() => null)
  if (!picture) return null
  const text = read(picture, picture.width, picture.height, 2000)
  picture.close()
  return text
}

/** Shows the camera in `video` until a code is seen or `signal` says stop; then the camera is let go.
 * @returns what the code says; null when it was stopped
 * @throws what getUserMedia throws */
export async function watchCamera(video: HTMLVideoElement, signal: AbortSignal): Promise<string | null> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false })
  try {
    if (signal.aborted) return null
    video.srcObject = stream
    await video.play()
    while (!signal.aborted) {
      const text = read(video, video.videoWidth, video.videoHeight, 50)
      if (text !== null) return text
      await new Promise((next) => setTimeout(next, everyMs))
    }
    return null
  } finally {
    for (const track of stream.getTracks()) track.stop()
    video.srcObject = null
  }
}

function read(source: CanvasImageSource, fullWidth: number, fullHeight: number, timeLimit: number): string | null {
  const scale = Math.min(1, largest / Math.max(fullWidth, fullHeight, 1))
  const width = Math.round(fullWidth * scale)
  const height = Math.round(fullHeight * scale)
  if (width === 0 || height === 0) return null
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
  if (!context) return null
  context.drawImage(source, 0, 0, width, height)
  try {
    return decodeQR(context.getImageData(0, 0, width, height), { timeLimit })
  } catch {
    return null
  }
}
