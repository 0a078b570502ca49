import { Button } from "@mantine/core"
import type { TamperedView } from "../../client/views.ts"
import type { RecordId } from "../record-id.ts"
import { saveFile } from "../save-file.ts"
import { Heading } from "./heading.tsx"
import classes from "./tampered.module.css"

/** The page that nobody should ever see, and that nobody can get round: what was expected, what came, whom to call.
 * @param record the one that did not check; null where it is the whole practice */
export function Tampered({ view, record = null }: { view: TamperedView; record?: RecordId | null }) {
  const inside = record !== null
  const Page = inside ? "div" : "main"
  return (
    <Page className={classes.page} data-inside={inside || undefined}>
      <div className={classes.sheet}>
        <p className={classes.code}>
          {view.code}
          {record && ` · record ${record.slice(0, 6)}`}
        </p>
        <Heading tab="Stopped">Stop: what the server sent does not check</Heading>
        <p className={classes.lead}>
          Healthcrypt has stopped here and changed nothing. Please do not try again
          {inside ? "." : ", and do not enter your password."}
        </p>
        <dl className={classes.facts}>
          <dt>Expected</dt>
          <dd>{view.expected}</dd>
          <dt>Found</dt>
          <dd>{view.found}</dd>
          <dt>What it may mean</dt>
          <dd>{meaning(view.code)}</dd>
          <dt>Whom to call</dt>
          <dd>
            The person who runs your server, by telephone or face to face. Give them the code
            {inside && " and the record’s name"} above, and the evidence.
            {inside && " Nothing of this record is shown until then; your other records go on working."}
          </dd>
        </dl>
        <Button size="md" color="red" onClick={() => saveFile("healthcrypt-evidence.txt", "text/plain", view.evidence)}>
          Save the evidence
        </Button>
        <p className={classes.note}>The evidence holds signed statements and hashes, nothing of a patient.</p>
      </div>
    </Page>
  )
}

/** The likely and the bad, both: nobody can tell from here which one it is. */
function meaning(code: TamperedView["code"]): string {
  if (code === "TAMPERED_ROLLBACK") {
    return "An old copy of the database may have been put back, on purpose or after a failure."
  }
  if (code === "TAMPERED_FORK") {
    return "The server may be showing different histories to different people."
  }
  if (code === "TAMPERED_LOG") {
    return "The server may be leaving out or changing what happened, or its log may be damaged."
  }
  if (code === "TAMPERED_PRACTICE") {
    return "You may be on another server than the one you registered with: check the address first."
  }
  if (code === "TAMPERED_IDENTITY") {
    return "Somebody may be passing off other keys as a physician’s, or the server may have kept an old state of them."
  }
  if (code === "TAMPERED_GRANT" || code === "TAMPERED_KEY") {
    return "Keys may have been exchanged on the way, so that somebody else could read along, or sent damaged."
  }
  if (code === "TAMPERED_CHAIN" || code === "TAMPERED_SIGNATURE") {
    return "Somebody may have changed, left out or added an entry who may not, or stored data may be damaged."
  }
  return "Stored data may have been damaged by a failing disk, or changed by somebody who may not."
}
