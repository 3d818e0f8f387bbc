"use client";
// Chooses the theme, as a row of three words.
import { Segmented } from "./segmented";
import { setTheme, type Theme, useTheme } from "./theme";

export const themeOptions: readonly { value: Theme; label: string }[] = [
  { value: "system", label: "System" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

export function ThemeToggle() {
  return <Segmented label="Theme" options={themeOptions} value={useTheme()} onChange={setTheme} />;
}
