import { Button } from "@mantine/core"
import { Link, useParams, useRouterState } from "@tanstack/react-router"
import { useEffect, useRef, useState } from "react"
import type { ColleagueView } from "../../client/views.ts"
import { AppError } from "../../errors.ts"
import { cleanUsername } from "../account-rules.ts"
import { useApp, useSession } from "../app.ts"
import { showMoment } from "../dates.ts"
import { messageOf } from "../form-errors.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Compare } from "../parts/compare.tsx"
import { Heading } from "../parts/heading.tsx"
import { Notice } from "../parts/notice.tsx"
import { QrCode } from "../parts/qr-code.tsx"
import { RetryNotice } from "../parts/retry-notice.tsx"
import { SafetyNumber } from "../parts/safety-number.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { VerifiedMark } from "../parts/verified-mark.tsx"
import type { WayBack } from "../share-draft.ts"
import { useAnswer } from "../use-answer.ts"
import classes from "./colleague.module.css"

export function ColleagueScreen() {
  const { username } = useParams({ from: "/inside/colleagues/$username" })
  const account = useSession()
  const mine = account.state === "signed-in" && cleanUsername(username) === account.username
  if (mine) return <NobodyToShow why="This is you. Your safety number with a colleague stands on their page here." />
  return <OfColleague key={username} username={username} />
}

function OfColleague({ username }: { username: string }) {
  const { api } = useApp()
  const { value, error, take, reload } = useAnswer(username, () => api.colleague(username))
  if (value) return <Verify colleague={value} take={take} />
  if (!error) return <Skeleton lines={4} heading />
  if (!isUnknown(error)) {
    return (
      <>
        <Heading tab="Colleague">This colleague can’t be shown now</Heading>
        <br />
        <RetryNotice error={error} onRetry={reload} />
      </>
    )
  }
  return <NobodyToShow why={error.message} />
}

function NobodyToShow({ why }: { why: string }) {
  return (
    <>
      <Heading tab="Colleague">There is no colleague to show</Heading>
      <p className={classes.lead}>{why}</p>
      <p>
        <Link to="/colleagues">Go to your colleagues</Link>
      </p>
    </>
  )
}

function isUnknown(error: AppError): boolean {
  return error.code === "NOT_ALLOWED" || error.code === "BAD_INPUT_USERNAME"
}

function Verify({ colleague, take }: { colleague: ColleagueView; take: (view: ColleagueView) => void }) {
  const { api } = useApp()
  const back = useRouterState({ select: (state) => state.location.state.back })
  const [differs, setDiffers] = useState(false)
  const { username, name, state, safetyNumber } = colleague

  /** @throws what is no mismatch, and no answer either */
  const verify = async (number: string, how: "digits" | "code") => {
    setDiffers(false)
    try {
      take(await api.verifyColleague(username, number, how))
      // The result stands at the top.
      window.scrollTo(0, 0)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "BAD_INPUT_SAFETY_NUMBER") throw error
      setDiffers(true)
    }
  }

  return (
    <div className={classes.page}>
      <header className={classes.head}>
        <Heading tab="Colleague">{username}</Heading>
        <VerifiedMark state={state} />
      </header>
      {name && <p className={classes.name}>gives the name {name}</p>}
      <div className={classes.state}>
        {colleague.suspended && (
          <Notice tone="amber">
            The server says that this account is suspended: {username} cannot sign in here now. They stay a member of
            the records that are shared with them until an owner removes them.
          </Notice>
        )}
        {state === "changed" && (
          <Notice tone="danger">
            The keys of {username} have changed since you verified them. They may have set up their account anew, or
            somebody may be passing off other keys as theirs. Nothing can be shared with them until you have compared
            the number again, by telephone or face to face.
          </Notice>
        )}
        {state === "verified" && <Verified colleague={colleague} take={take} back={back} />}
        {differs && <Differs username={username} />}
      </div>
      <section className={classes.both}>
        <div>
          <h2>Your safety number</h2>
          <p className={classes.lead}>
            {username} should see the same sixty digits on this page of theirs. Read these to each other, by telephone
            or face to face.
          </p>
          <SafetyNumber digits={safetyNumber} />
        </div>
        <div className={classes.code}>
          <QrCode text={colleague.code} label={`QR code of your safety number with ${username}`} />
          <p className={classes.quiet}>or let each other scan this</p>
        </div>
      </section>
      {state !== "verified" && <Compare colleague={colleague} onNumber={verify} onDiffers={() => setDiffers(true)} />}
      <details className={classes.details}>
        <summary>Fingerprint of {username}’s keys</summary>
        <p>{colleague.fingerprint}</p>
      </details>
    </div>
  )
}

interface VerifiedProps {
  colleague: ColleagueView
  take: (view: ColleagueView) => void
  back: WayBack | undefined
}

/** Who was verified, when and how. */
function Verified({ colleague: { username, verified }, take, back }: VerifiedProps) {
  const { api } = useApp()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState("")
  const forget = async () => {
    setBusy(true)
    setProblem("")
    try {
      await api.forgetColleague(username)
      take(await api.colleague(username))
    } catch (error) {
      setProblem(messageOf(error))
    }
    setBusy(false)
  }
  return (
    <div className={classes.verified} role="status">
      <p className={classes.result}>
        You verified {username}
        {verified &&
          ` on ${showMoment(verified.time)}, ${verified.how === "code" ? "by scanning their code" : "by comparing the digits"}`}
        .
      </p>
      <p className={classes.quiet}>This holds on all your devices. If their keys change, you are told and it ends.</p>
      {problem && (
        <Notice tone="danger" live>
          {problem}
        </Notice>
      )}
      <div className={classes.buttons}>
        <Back back={back} />
        <Button size="xs" variant="default" loading={busy} onClick={() => void forget()}>
          Forget this verification
        </Button>
      </div>
    </div>
  )
}

function Back({ back }: { back: WayBack | undefined }) {
  if (!back) return null
  if (back.to === "/invitations") {
    return (
      <ButtonLink to="/invitations" size="xs">
        Back to your invitations
      </ButtonLink>
    )
  }
  if (back.to === "/share") {
    return (
      <ButtonLink to="/share" state={{ share: back.draft }} size="xs">
        Go on sharing
      </ButtonLink>
    )
  }
  return (
    <ButtonLink to={back.to} params={{ id: back.id }} state={{ share: back.draft }} size="xs">
      Go on sharing
    </ButtonLink>
  )
}

/** Stands at the top, and shows itself to whoever compared further down. */
function Differs({ username }: { username: string }) {
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    void ref.current?.scrollIntoView({ block: "center" })
  }, [])
  return (
    <div ref={ref}>
      <Notice tone="danger" live>
        <p>
          <strong>These numbers are not the same. Nothing was verified.</strong>
        </p>
        <p>
          Read all twelve groups to each other once more: a slip is likely. If they still differ, share nothing with{" "}
          {username}, and call whoever runs your server, by telephone or face to face: somebody may be passing off other
          keys as theirs.
        </p>
      </Notice>
    </div>
  )
}
