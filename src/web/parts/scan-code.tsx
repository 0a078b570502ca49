import { Button } from "@mantine/core"
import { useEffect, useRef, useState } from "react"
import { Notice } from "./notice.tsx"
import classes from "./scan-code.module.css"

interface ScanCodeProps {
  username: string
  /** What the code says: whose it is, is for others to check. */
  onText: (text: string) => Promise<void>
}

/** Reads a QR code by camera, which is asked for only after a button, or from a picture. Nothing that is seen leaves this device. */
export function ScanCode({ username, onText }: ScanCodeProps) {
  const chooser = useRef<HTMLInputElement>(null)
  const [camera, setCamera] = useState(false)
  const [problem, setProblem] = useState("")

  const take = async (file: File | undefined) => {
    if (!file) return
    setProblem("")
    const { readPicture } = await import("../scan.ts")
    const text = await readPicture(file)
    if (text === null) setProblem("There is no code to be read in this picture. Take it again, closer and straight.")
    else await onText(text)
  }

  return (
    <>
      <p className={classes.lead}>
        {username} opens this page about you, and shows you the code on it. Nothing that the camera sees leaves this
        device.
      </p>
      {camera && (
        <Camera
          onStop={(why) => {
            setCamera(false)
            setProblem(why)
          }}
          onText={(text) => {
            setCamera(false)
            void onText(text)
          }}
        />
      )}
      {problem && (
        <Notice tone="amber" live>
          {problem}
        </Notice>
      )}
      <div className={classes.buttons}>
        <Button
          variant="default"
          onClick={() => {
            setProblem("")
            setCamera(!camera)
          }}
        >
          {camera ? "Stop the camera" : "Use the camera"}
        </Button>
        <Button variant="default" onClick={() => chooser.current?.click()}>
          Choose a picture
        </Button>
        <input
          ref={chooser}
          type="file"
          accept="image/*"
          aria-label="Picture of their code"
          className={classes.chooser}
          tabIndex={-1}
          onChange={(event) => {
            const [file] = event.currentTarget.files ?? []
            void take(file)
            event.currentTarget.value = ""
          }}
        />
      </div>
      <p className={classes.lead}>
        Take the picture yourself, of their screen. One that was sent by mail or message does not count: somebody else
        could have sent it.
      </p>
    </>
  )
}

interface CameraProps {
  onText: (text: string) => void
  onStop: (why: string) => void
}

function Camera({ onText, onStop }: CameraProps) {
  const video = useRef<HTMLVideoElement>(null)
  const heard = useRef({ onText, onStop })
  heard.current = { onText, onStop }

  useEffect(() => {
    const stop = new AbortController()
    const watch = async (element: HTMLVideoElement) => {
      const { watchCamera } = await import("../scan.ts")
      const text = await watchCamera(element, stop.signal)
      if (text !== null && !stop.signal.aborted) heard.current.onText(text)
    }
    if (video.current) {
      watch(video.current).catch((error: unknown) => {
        if (!stop.signal.aborted) heard.current.onStop(whyNot(error))
      })
    }
    return () => stop.abort()
  }, [])

  return <video ref={video} className={classes.video} muted playsInline aria-label="What the camera sees" />
}

function whyNot(error: unknown): string {
  const name = error instanceof Error ? error.name : ""
  if (name === "NotAllowedError")
    return "The browser may not use the camera. Allow it for this address, or choose a picture."
  if (name === "NotFoundError") return "There is no camera on this device. Choose a picture, or compare the digits."
  return "The camera does not answer. Choose a picture, or compare the digits."
}
