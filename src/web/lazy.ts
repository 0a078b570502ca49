import { type AsyncRouteComponent, lazyRouteComponent } from "@tanstack/react-router"
import { AppError } from "../errors.ts"

/** A part of the page that is loaded when it is needed. The router's answer to one that is gone is to load the whole page again: without a
 * word, and into nothing where the server is away. As an error of ours it comes to `Fault`, which finds out and asks. */
export function lazy<Name extends string, Props>(
  load: () => Promise<Record<Name, (props: Props) => unknown>>,
  name: Name,
): AsyncRouteComponent<Props> {
  const part = () =>
    load().catch((cause: unknown) => {
      throw new AppError("UNAVAILABLE", "This page could not be loaded completely. Load it again.", { cause })
    })
  return lazyRouteComponent(part, name) as AsyncRouteComponent<Props>
}
