"use client";
// The person: who is signed in, the theme, sign out.
import { LogOut } from "lucide-react";
import { Avatar } from "../ui/avatar";
import {
  Menu,
  MenuContent,
  MenuItem,
  MenuLabel,
  MenuRadioGroup,
  MenuRadioItem,
  MenuSeparator,
  MenuTrigger,
} from "../ui/menu";
import { setTheme, type Theme, useTheme } from "../ui/theme";
import { themeOptions } from "../ui/theme-toggle";

export interface Account {
  name: string | null;
  email: string;
}

export function AccountMenu({ account, onSignOut }: { account: Account; onSignOut: () => void }) {
  const theme = useTheme();
  const called = account.name ?? account.email;
  return (
    <Menu>
      <MenuTrigger
        aria-label={`Account of ${called}`}
        className="grid place-items-center rounded-full focus-visible:rounded-full pointer-coarse:size-11"
      >
        <Avatar name={called} />
      </MenuTrigger>
      <MenuContent align="end" className="min-w-56">
        <div className="px-2 pt-2 pb-1">
          <p className="truncate text-sm font-medium">{called}</p>
          {account.name ? <p className="truncate text-xs text-ink-3">{account.email}</p> : null}
        </div>
        <MenuSeparator />
        <MenuLabel>Theme</MenuLabel>
        <MenuRadioGroup value={theme} onValueChange={(value) => setTheme(value as Theme)}>
          {themeOptions.map((option) => (
            <MenuRadioItem key={option.value} value={option.value} onSelect={(event) => event.preventDefault()}>
              {option.label}
            </MenuRadioItem>
          ))}
        </MenuRadioGroup>
        <MenuSeparator />
        <MenuItem onSelect={onSignOut}>
          <LogOut aria-hidden />
          Sign out
        </MenuItem>
      </MenuContent>
    </Menu>
  );
}
