// The bar of pages outside of an organization that say what went wrong: just the way home.
import { Brand } from "~/components/ui/brand";

export function PublicHeader() {
  return (
    <header className="border-b border-line bg-surface">
      <div className="wrap flex h-13 items-center">
        <Brand />
      </div>
    </header>
  );
}
