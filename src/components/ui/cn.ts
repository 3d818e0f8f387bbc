// The one way class names are put together.
export { clsx as cn } from "clsx";
