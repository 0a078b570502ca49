import { Menu } from "@mantine/core"
import IconChevronDown from "@tabler/icons-react/dist/esm/icons/IconChevronDown.mjs"
import IconLock from "@tabler/icons-react/dist/esm/icons/IconLock.mjs"
import IconLogout from "@tabler/icons-react/dist/esm/icons/IconLogout.mjs"
import type { Account } from "../../client/views.ts"
import { useApp } from "../app.ts"
import classes from "./physician-menu.module.css"

export function PhysicianMenu({ account }: { account: Extract<Account, { state: "signed-in" }> }) {
  const { lock, signOut, session } = useApp()
  const name = `${account.firstName} ${account.lastName}`
  const leave = () => void signOut().catch(() => session.set({ state: "signed-out" }))
  const close = () =>
    void lock().catch(() => session.set({ state: "locked", username: account.username, reason: "asked" }))
  return (
    <Menu
      position="bottom-end"
      width={176}
      withinPortal={false}
      shadow="none"
      classNames={{ dropdown: classes.dropdown }}
    >
      <Menu.Target>
        <button type="button" className={classes.button}>
          <span className={classes.name}>{name}</span>
          <IconChevronDown size={16} aria-hidden="true" />
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconLock size={18} stroke={1.75} aria-hidden="true" />} onClick={close}>
          Lock
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={18} stroke={1.75} aria-hidden="true" />} onClick={leave}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
