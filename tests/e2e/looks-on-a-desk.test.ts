import { lookAtEverything } from "./support/looks";

lookAtEverything("1440 px");
