// For whoever is no admin of the platform: what there would be is not told.
export { default } from "../not-found";
