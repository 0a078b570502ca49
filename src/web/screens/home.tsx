import { Button } from "@mantine/core"
import IconUserPlus from "@tabler/icons-react/dist/esm/icons/IconUserPlus.mjs"
import { Link } from "@tanstack/react-router"
import { useEffect, useState } from "react"
import { nothingSelected, useApp, useSession } from "../app.ts"
import { count } from "../dates.ts"
import type { HomeView } from "../home-list.ts"
import { ButtonLink } from "../parts/button-link.tsx"
import { Heading } from "../parts/heading.tsx"
import { LinkButton } from "../parts/link-button.tsx"
import { Notice } from "../parts/notice.tsx"
import { PatientTable } from "../parts/patient-table.tsx"
import { RetryNotice } from "../parts/retry-notice.tsx"
import { SelectionBar } from "../parts/selection-bar.tsx"
import { Skeleton } from "../parts/skeleton.tsx"
import { UnsentNotice } from "../parts/unsent.tsx"
import { joined } from "../shown.ts"
import { useStore } from "../store.ts"
import classes from "./home.module.css"
import { SortMenu } from "./sort-menu.tsx"

export function HomeScreen() {
  const { home } = useApp()
  const account = useSession()
  const view = useStore(home.view)
  useEffect(() => {
    home.want(0, 100)
  }, [home])
  useTypingSearches()

  const name = account.state === "signed-in" ? joined([account.firstName, account.lastName], " ") : ""
  const empty = view.total === 0 && view.refused.length === 0
  const none = view.complete && empty && view.search === "" && !view.archived && !view.error
  const first = useFirstRun(none)
  return (
    <>
      <div className={classes.head}>
        <Heading tab="Patients">Welcome, {name}</Heading>
        {!first && (
          <div className={classes.doors}>
            <ButtonLink to="/import" variant="default">
              Import
            </ButtonLink>
            <ButtonLink to="/records/new" leftSection={<IconUserPlus size={18} stroke={1.75} aria-hidden="true" />}>
              New patient
            </ButtonLink>
          </div>
        )}
      </div>
      {account.state === "signed-in" && !account.wordsConfirmed && <WordsNotice />}
      {view.waiting > 0 && <WaitingNotice waiting={view.waiting} />}
      <div className={classes.notice}>
        <UnsentNotice />
      </div>
      {first === "asking" ? <Skeleton lines={4} /> : first ? <FirstRun /> : <Patients view={view} />}
    </>
  )
}

/** Whether there is nothing at all: no patients, and none in the archive either. "asking" until that is known. */
function useFirstRun(none: boolean): boolean | "asking" {
  const { api } = useApp()
  const [archived, setArchived] = useState<number | null>(null)
  useEffect(() => {
    if (!none) return
    const query = { search: "", sort: "name", descending: false, archived: true, offset: 0, limit: 1 } as const
    api.home(query).then(
      ({ total }) => setArchived(total),
      () => setArchived(0),
    )
  }, [api, none])
  if (!none) return false
  return archived === null ? "asking" : archived === 0
}

function Patients({ view }: { view: HomeView }) {
  const { home, selection } = useApp()
  const { on: selecting } = useStore(selection)
  return (
    <>
      <div className={classes.line}>
        <p role="status">{countLine(view)}</p>
        {view.matching > 0 && (
          <Button
            size="xs"
            variant="default"
            aria-pressed={selecting}
            onClick={() => selection.set({ ...nothingSelected, on: !selecting })}
          >
            Select
          </Button>
        )}
        <SortMenu view={view} />
        <label className={classes.archived}>
          <input
            type="checkbox"
            checked={view.archived}
            onChange={(event) => home.setArchived(event.currentTarget.checked)}
          />
          Show archived
        </label>
      </div>
      {view.error && <RetryNotice error={view.error} onRetry={() => home.rosterMoved(true)} />}
      {view.refused.length > 0 && <RefusedNotice refused={view.refused} />}
      {view.partlySearched > 0 && <PartlySearched patients={view.partlySearched} />}
      {!view.loaded ? (
        <Skeleton lines={8} />
      ) : view.matching > 0 ? (
        <PatientTable view={view} />
      ) : view.complete && !view.error ? (
        <Nobody view={view} />
      ) : null}
      {view.loaded && !view.complete && !view.error && view.matching < 12 && <Skeleton lines={6} />}
      {selecting && <SelectionBar view={view} />}
    </>
  )
}

function countLine(view: HomeView): string {
  if (!view.loaded) return "Opening your patients…"
  const all = count(view.total, view.archived ? "archived patient" : "patient")
  if (!view.complete) return `${all} so far, opening the rest…`
  if (view.search !== "") return `${view.matching.toLocaleString()} of ${all}`
  const by = { name: "name", birthDate: "birth date", diagnoses: "diagnoses", updated: "last change" }[view.sort]
  return `${all} · sorted by ${by}`
}

function FirstRun() {
  return (
    <div className={classes.first}>
      <h2>No patients yet</h2>
      <p>Write the first record, or bring the ones you have as FHIR files. Everything is encrypted here first.</p>
      <div className={classes.doors}>
        <ButtonLink to="/records/new" size="md">
          New patient
        </ButtonLink>
        <ButtonLink to="/import" size="md" variant="default">
          Import patients
        </ButtonLink>
      </div>
    </div>
  )
}

function Nobody({ view }: { view: HomeView }) {
  const { home } = useApp()
  return (
    <div className={classes.nobody}>
      <p>
        {view.search !== ""
          ? "Nobody matches. Search by name, birth date or diagnosis."
          : view.archived
            ? "No archived patients."
            : view.refused.length > 0
              ? "No other patients."
              : "No patients that are not archived."}
      </p>
      {view.search !== "" && <LinkButton onClick={() => home.setSearch("")}>Clear the search</LinkButton>}
    </div>
  )
}

function WordsNotice() {
  return (
    <div className={classes.notice}>
      <Notice
        tone="amber"
        actions={
          <ButtonLink to="/settings" hash="recovery-words" size="xs" variant="default">
            Make new words
          </ButtonLink>
        }
      >
        Your recovery words are not confirmed. Without them a forgotten password cannot be mended by anyone.
      </Notice>
    </div>
  )
}

/** After a restore of the server. */
function WaitingNotice({ waiting }: { waiting: number }) {
  return (
    <div className={classes.notice}>
      <Notice
        tone="amber"
        actions={
          <ButtonLink to="/confirm" size="xs" variant="default">
            Confirm who can read {waiting === 1 ? "it" : "them"}
          </ButtonLink>
        }
      >
        {waiting === 1
          ? "1 record waits until you have confirmed who can read it."
          : `${waiting.toLocaleString()} records wait until you have confirmed who can read them.`}
      </Notice>
    </div>
  )
}

function PartlySearched({ patients }: { patients: number }) {
  return (
    <div className={classes.notice}>
      <Notice tone="amber">
        {count(patients, "patient")} {patients === 1 ? "has" : "have"} more diagnoses than can be searched. Find{" "}
        {patients === 1 ? "this one" : "them"} by name or birth date.
      </Notice>
    </div>
  )
}

function RefusedNotice({ refused }: { refused: HomeView["refused"] }) {
  return (
    <div className={classes.notice}>
      <Notice tone="danger">
        {count(refused.length, "record")} cannot be shown. Open {refused.length === 1 ? "it" : "one"} to see why:{" "}
        {refused.slice(0, 5).map(({ id }, index) => (
          <span key={id}>
            {index > 0 && ", "}
            <Link to="/records/$id" params={{ id }}>
              record {id.slice(0, 6)}
            </Link>
          </span>
        ))}
        {refused.length > 5 && " …"}
      </Notice>
    </div>
  )
}

const typedInto = "input:not([type=checkbox]), textarea, select, [role=menu], dialog"

/** A printable key pressed anywhere on the page goes into the search box. */
function useTypingSearches(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.key.length !== 1 || event.key === " ") return
      const target = event.target
      if (target instanceof HTMLElement && target.closest(typedInto)) return
      document.getElementById("search")?.focus()
    }
    addEventListener("keydown", onKey)
    return () => removeEventListener("keydown", onKey)
  }, [])
}
