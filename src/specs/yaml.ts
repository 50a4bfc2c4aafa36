/** Reads one YAML (or JSON) document that a person wrote, and remembers where each field stands. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseAllDocuments,
  visit,
  type YAMLError,
} from 'yaml';
import { type Problem, SpecError } from './errors.ts';

/** Larger texts are refused before they are parsed. */
const MAX_BYTES = 256 * 1024;
/** How many nodes aliases may expand to; guards against "billion laughs". */
const MAX_ALIASES = 100;

interface Place {
  line: number;
  column: number;
}

/** A document, and where in its text things stand. */
export interface ReadDocument {
  /** Plain JSON data. */
  value: unknown;
  /** Where the field at `path` stands; for a field that is missing, where its nearest existing parent stands. */
  locate(path: readonly PropertyKey[]): Place | undefined;
  /** Where the name of the field at `path` stands. */
  locateKey(path: readonly PropertyKey[]): Place | undefined;
}

/** Parses exactly one document. Throws SpecError (syntax with line and column, empty, several documents, duplicate keys). */
export function readDocument(text: string, source: string): ReadDocument {
  if (text.length > MAX_BYTES) {
    throw new SpecError(source, [
      { path: '', message: `is longer than ${MAX_BYTES / 1024} KiB; is it the right file?` },
    ]);
  }
  // What is no UTF-8 was read as replacement characters.
  if (/[\0\uFFFD]/.test(text))
    throw new SpecError(source, [{ path: '', message: 'is not text in UTF-8; save it as UTF-8' }]);
  const lines = new LineCounter();
  const documents = parseAllDocuments(withoutTabs(text), {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: false,
  });
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if ('empty' in documents) throw empty(source);

  const syntax = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]);
  if (syntax.length > 0) {
    throw new SpecError(
      source,
      // One slip makes the parser stumble again and again; only the first complaint is about the slip.
      syntax
        .slice(0, 1)
        .map((error) => ({ path: '', ...place(error.pos[0]), message: syntaxMessage(error, text) })),
    );
  }
  // Templates like to leave a `---` with nothing behind it.
  const filled = documents.filter(({ contents }) => !(isScalar(contents) && contents.value === null));
  const [document, second] = filled;
  if (!document || document.contents === null) throw empty(source);
  if (second) {
    const at = place(second.range[0]);
    throw new SpecError(source, [
      {
        path: '',
        ...at,
        message: `found ${filled.length} documents; allowed: one. Put each into its own file`,
      },
    ]);
  }
  refuseOddities(document, source, place);
  return {
    value: toData(document, source),
    locate: (path) => locate(document, path, place),
    locateKey: (path) => locateKey(document, path, place),
  };
}

/** JSON may be indented with tabs, YAML may not. In valid JSON a raw tab is only ever white space. */
function withoutTabs(text: string): string {
  if (!text.includes('\t') || !/^\s*[[{]/.test(text)) return text;
  try {
    JSON.parse(text);
    return text.replaceAll('\t', ' ');
  } catch {
    return text;
  }
}

function empty(source: string): SpecError {
  return new SpecError(source, [{ path: '', message: 'is empty' }]);
}

function syntaxMessage(error: YAMLError, text: string): string {
  const message = error.message.replace(/\.?$/, '');
  if (error.code === 'DUPLICATE_KEY') {
    const name = /^[^\s:,]{1,60}/.exec(text.slice(error.pos[0]))?.[0] ?? 'a field';
    return `${name} is given twice in this mapping`;
  }
  if (error.code === 'TAB_AS_INDENT') return 'not valid YAML: a tab is used for indentation; use spaces';
  return `not valid YAML: ${message}`;
}

/** Refuses what YAML allows and a spec never needs: keys that are no text, `__proto__`, aliases of a parent. */
function refuseOddities(document: Document.Parsed, source: string, place: (offset: number) => Place): void {
  const problems: Problem[] = [];
  const report = (node: unknown, message: string) => {
    const range = (node as Node | null)?.range;
    problems.push({ path: '', ...(range ? place(range[0]) : {}), message });
  };
  visit(document, {
    Pair(_, pair) {
      if (!isScalar(pair.key) || pair.key.value === null || typeof pair.key.value === 'object') {
        report(pair.key ?? pair.value, 'a field name must be a plain word');
      } else if (pair.key.value === '__proto__') report(pair.key, '__proto__ is not allowed as a field name');
    },
    Alias(_, alias, parents) {
      const target = alias.resolve(document);
      if (target === undefined)
        report(alias, `no anchor &${alias.source} stands before the alias *${alias.source}`);
      else if (parents.includes(target)) report(alias, `the alias *${alias.source} contains itself`);
    },
  });
  if (problems.length > 0) throw new SpecError(source, problems.slice(0, 5));
}

function toData(document: Document.Parsed, source: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown;
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new SpecError(source, [
      { path: '', message: `its aliases expand too often; allowed: ${MAX_ALIASES} times` },
    ]);
  }
}

type Located = ParsedNode | null | undefined;

interface Step {
  parent: Located;
  key: PropertyKey;
  node: Located;
}

/** The way down a path, aliases followed; it ends with the first field that is not there. */
function* walk(document: Document.Parsed, path: readonly PropertyKey[]): Generator<Step> {
  let node: Located = document.contents;
  for (const key of path) {
    const parent: Located = isAlias(node) ? (node.resolve(document) as Located) : node;
    node = isMap(parent) || isSeq(parent) ? (parent.get(key, true) as Located) : undefined;
    yield { parent, key, node };
    if (!node) return;
  }
}

/** Where the text of a field's name begins. */
function keyOffset({ parent, key }: Step): number | undefined {
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
  return (pair?.key as Node | undefined)?.range?.[0];
}

function locate(
  document: Document.Parsed,
  path: readonly PropertyKey[],
  place: (offset: number) => Place,
): Place | undefined {
  let offset = document.contents?.range[0];
  for (const step of walk(document, path)) offset = step.node?.range?.[0] ?? keyOffset(step) ?? offset;
  return offset === undefined ? undefined : place(offset);
}

function locateKey(
  document: Document.Parsed,
  path: readonly PropertyKey[],
  place: (offset: number) => Place,
): Place | undefined {
  const step = [...walk(document, path)][path.length - 1];
  const offset = step && keyOffset(step);
  return offset === undefined ? undefined : place(offset);
}
