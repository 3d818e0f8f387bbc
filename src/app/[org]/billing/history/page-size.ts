// How many lines of the history come at once; the server's first page and the browser's next ones agree on it.
export const HISTORY_PAGE_SIZE = 25;
