// Runs before the first paint, so that a page never flashes in the other theme.
const script = `try{var t=localStorage.getItem("theme");if(t==="light"||t==="dark")document.documentElement.dataset.theme=t}catch(e){}`;

export function ThemeScript({ nonce }: { nonce?: string }) {
  // biome-ignore lint/security/noDangerouslySetInnerHtml: a constant of ours, with nothing of anybody in it
  return <script nonce={nonce} dangerouslySetInnerHTML={{ __html: script }} />;
}
