import { lookAtEverything } from "./support/looks";

lookAtEverything("390 px");
