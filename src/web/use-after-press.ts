/** Waits until a press is over. A click comes about where the button goes down and up on the same thing: words that appeared in between,
 * because a field was left, would move what was pressed away from under the pointer. */
import { type FocusEvent, useCallback, useEffect, useRef } from "react"

/** @returns runs what it is given after the click that is under way; at once, or nearly so, where there is none */
export function useAfterPress(): (run: () => unknown) => void {
  const held = useRef(false)
  const waiting = useRef<(() => unknown)[]>([])

  const soon = useCallback(() => {
    setTimeout(() => {
      if (!held.current) for (const run of waiting.current.splice(0)) run()
    })
  }, [])

  useEffect(() => {
    const down = () => {
      held.current = true
    }
    const up = () => {
      held.current = false
      soon()
    }
    const ends = ["pointerup", "pointercancel", "dragend"] as const
    addEventListener("pointerdown", down, true)
    for (const end of ends) addEventListener(end, up, true)
    return () => {
      removeEventListener("pointerdown", down, true)
      for (const end of ends) removeEventListener(end, up, true)
      waiting.current = []
    }
  }, [soon])

  return useCallback(
    (run) => {
      waiting.current.push(run)
      soon()
    },
    [soon],
  )
}

interface Form {
  validateField(path: string): unknown
}

/** For a form's `onBlur`: says what is wrong with a field when it is left, unless nothing was typed in it. */
export function useLeavingCheck(form: Form): (event: FocusEvent) => void {
  const afterPress = useAfterPress()
  return ({ target }) => {
    const path = target.getAttribute("data-path")
    if (path === null || !(target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement)) return
    afterPress(() => target.value.trim() !== "" && form.validateField(path))
  }
}
