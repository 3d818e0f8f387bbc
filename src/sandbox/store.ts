// All state: collections of immutable objects, written in units of work that are undone as a whole.
import { Journal, type Write } from "./journal";

interface Item {
  id: string;
  created?: number;
}
type Indexes<T> = Record<string, (object: T) => string | null | undefined>;

/** Objects of one kind: by id, by declared index, and newest first. */
export class Collection<T extends Item> {
  private readonly objects = new Map<string, T>();
  private readonly buckets = new Map<string, Map<string, Set<string>>>();
  /** Ids by `created`, then by arrival. */
  private readonly order: string[] = [];

  constructor(
    readonly name: string,
    private readonly indexes: Indexes<T>,
    private readonly written: (id: string, before: T | undefined, after: T | undefined) => void,
  ) {
    for (const index of Object.keys(indexes)) this.buckets.set(index, new Map());
  }

  get size(): number {
    return this.objects.size;
  }

  get(id: string): T | undefined {
    return this.objects.get(id);
  }

  put(object: T): T {
    const before = this.objects.get(object.id);
    this.set(object.id, object);
    this.written(object.id, before, object);
    return object;
  }

  /** Changes some fields of an object that is there. */
  patch(id: string, changes: Partial<T>): T {
    const before = this.objects.get(id);
    if (!before) throw new Error(`${this.name} ${id} is gone`);
    return this.put({ ...before, ...changes });
  }

  remove(id: string): void {
    const before = this.objects.get(id);
    if (!before) return;
    this.set(id, undefined);
    this.written(id, before, undefined);
  }

  /** All, oldest first. */
  *values(): Generator<T> {
    for (const id of this.order) {
      const object = this.objects.get(id);
      if (object) yield object;
    }
  }

  /** All of one index value, oldest first. */
  by(index: string, value: string): T[] {
    const ids = this.buckets.get(index)?.get(value) ?? [];
    const found = [...ids].map((id) => this.objects.get(id)).filter((object) => object !== undefined);
    return found.sort((a, b) => (a.created ?? 0) - (b.created ?? 0));
  }

  /** All of one index value, in no order that matters; cheap to begin, whatever their number. */
  *each(index: string, value: string): Generator<T> {
    for (const id of this.buckets.get(index)?.get(value) ?? []) {
      const object = this.objects.get(id);
      if (object) yield object;
    }
  }

  /** Sets without reporting: for loading and for undoing. */
  set(id: string, object: T | undefined): void {
    const before = this.objects.get(id);
    if (object) this.objects.set(id, object);
    else this.objects.delete(id);
    if (object && !before) this.order.splice(this.placeOf(object), 0, id);
    if (before && !object) this.order.splice(this.order.lastIndexOf(id), 1);
    for (const [index, key] of Object.entries(this.indexes)) {
      const [was, is] = [before && key(before), object && key(object)];
      if (was === is) continue;
      const buckets = this.buckets.get(index);
      if (was) buckets?.get(was)?.delete(id);
      if (!is) continue;
      const ids = buckets?.get(is);
      if (ids) ids.add(id);
      else buckets?.set(is, new Set([id]));
    }
  }

  clear(): void {
    this.objects.clear();
    this.order.length = 0;
    for (const bucket of this.buckets.values()) bucket.clear();
  }

  private placeOf(object: T): number {
    const created = object.created ?? 0;
    let place = this.order.length;
    // Nearly always the newest; with clocks of their own, objects may arrive out of order.
    let low = 0;
    if (this.createdAt(place - 1) <= created) return place;
    while (low < place) {
      const middle = (low + place) >>> 1;
      if (this.createdAt(middle) <= created) low = middle + 1;
      else place = middle;
    }
    return low;
  }

  private createdAt(position: number): number {
    const id = this.order[position];
    return (id !== undefined && this.objects.get(id)?.created) || 0;
  }
}

export class Store {
  private readonly collections = new Map<string, Collection<Item>>();
  private readonly journal: Journal | null;
  private undo: Array<() => void> | null = null;
  private pending = new Map<string, Write>();

  constructor(directory?: string) {
    this.journal = directory ? new Journal(directory) : null;
  }

  /** Declares a collection. All are declared before `load`. */
  collection<T extends Item>(name: string, indexes: Indexes<T> = {}): Collection<T> {
    const collection = new Collection<T>(name, indexes, (id, before, after) => {
      const report = (value: T | undefined) => {
        if (this.journal) this.pending.set(`${name}/${id}`, [name, id, value ?? null]);
      };
      this.undo?.push(() => {
        collection.set(id, before);
        report(before);
      });
      report(after);
      if (!this.undo) this.flush();
    });
    this.collections.set(name, collection as unknown as Collection<Item>);
    return collection;
  }

  load(): void {
    if (!this.journal) return;
    for (const writes of this.journal.read()) {
      for (const [name, id, value] of writes) this.collections.get(name)?.set(id, (value as Item | null) ?? undefined);
    }
    this.journal.rewrite(this.snapshot());
  }

  /**
   * Runs a unit of work: all of it is kept, or none, unless `keeps` says that this failure is an answer.
   * A unit inside another is undone alone.
   */
  transaction<R>(work: () => R, keeps: (error: unknown) => boolean = () => false): R {
    const outer = this.undo;
    const undo = outer ?? [];
    const mark = undo.length;
    this.undo = undo;
    try {
      return work();
    } catch (error) {
      if (!keeps(error)) for (const step of undo.splice(mark).reverse()) step();
      throw error;
    } finally {
      this.undo = outer;
      if (!outer) this.flush();
    }
  }

  /** Forgets everything. */
  wipe(): void {
    for (const collection of this.collections.values()) collection.clear();
    this.pending.clear();
    this.journal?.rewrite([]);
  }

  close(): void {
    this.flush();
    this.journal?.close();
  }

  private flush(): void {
    if (!this.journal || this.pending.size === 0) return;
    const grown = this.journal.append([...this.pending.values()]);
    this.pending.clear();
    if (grown) this.journal.rewrite(this.snapshot());
  }

  private *snapshot(): Generator<Write> {
    for (const collection of this.collections.values()) {
      for (const object of collection.values()) yield [collection.name, object.id, object];
    }
  }
}
