// Writes types out in full: the contract of `src/client/contract.ts`, which in this repository is inferred from the router,
// as declarations that need nothing else. It asks TypeScript itself, so what it writes is what the router says.
import {
  type Checker,
  type Project,
  SymbolFlags,
  type Type,
  type Symbol as TypeSymbol,
} from "typescript/unstable/sync";

// No type of the contract is that deep: beyond it one contains itself, and has to be named.
const MOST_LEVELS = 12;
// NodeBuilderFlags: nothing is cut short, and aliases are not used for what can be written.
const NO_TRUNCATION = 1;
const IN_TYPE_ALIAS = 8_388_608;

/** The exported types of a file as a module of declarations that imports nothing. Comments of properties come along. */
export function writeOut(project: Project, file: string, header: string): string {
  const { checker, program } = project;
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) throw new Error(`${file} is not part of the project.`);
  const declarations = checker.getExportsOfModule(module).map((symbol) => {
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    const text = print(checker, type, 0);
    const isObject = text.startsWith("{");
    return `${comment(checker, symbol, "")}export ${isObject ? "interface" : "type"} ${symbol.name} ${isObject ? "" : "= "}${text}${isObject ? "" : ";"}\n`;
  });
  return `${header}\n${declarations.join("\n")}`;
}

function print(checker: Checker, type: Type, level: number): string {
  if (level > MOST_LEVELS) throw new Error(`A type of the contract contains itself: ${checker.typeToString(type)}`);
  if (type.isErrorType()) throw new Error("A type of the contract could not be resolved: does the project compile?");
  if (type.isUnionType()) return printUnion(checker, type.getTypes() ?? [], level);
  if (checker.isTupleType(type) && type.isTypeReference()) {
    return `[${checker
      .getTypeArguments(type)
      .map((item) => print(checker, item, level + 1))
      .join(", ")}]`;
  }
  if (checker.isArrayType(type) && type.isTypeReference()) {
    const [item] = checker.getTypeArguments(type);
    const text = item ? print(checker, item, level + 1) : "unknown";
    return item?.isUnionType() ? `(${text})[]` : `${text}[]`;
  }
  if (!type.isObjectType() || type.getSymbol()?.name === "Date") {
    return checker.typeToString(type, undefined, NO_TRUNCATION | IN_TYPE_ALIAS);
  }
  return printObject(checker, type, level);
}

/** `boolean` is a union of two to TypeScript; null and undefined go last. */
function printUnion(checker: Checker, types: readonly Type[], level: number): string {
  const texts = types.map((type) => print(checker, type, level));
  const isBoolean = texts.includes("true") && texts.includes("false");
  const plain = texts.filter((text) => !(isBoolean && (text === "true" || text === "false")));
  if (isBoolean) plain.push("boolean");
  const last = (text: string) => ["null", "undefined"].indexOf(text);
  return plain.sort((a, b) => last(a) - last(b)).join(" | ");
}

function printObject(checker: Checker, type: Type, level: number): string {
  const indent = "  ".repeat(level + 1);
  const lines = checker.getPropertiesOfType(type).map((property) => {
    const own = checker.getTypeOfSymbol(property);
    if (!own) throw new Error(`The type of ${property.name} could not be resolved.`);
    const isOptional = (property.flags & SymbolFlags.Optional) !== 0;
    const name = /^[A-Za-z_$][\w$]*$/.test(property.name) ? property.name : JSON.stringify(property.name);
    return `${comment(checker, property, indent)}${indent}${name}${isOptional ? "?" : ""}: ${print(checker, own, level + 1)};\n`;
  });
  for (const { keyType, valueType } of checker.getIndexInfosOfType(type)) {
    lines.push(`${indent}[key: ${print(checker, keyType, level + 1)}]: ${print(checker, valueType, level + 1)};\n`);
  }
  return lines.length === 0 ? "{}" : `{\n${lines.join("")}${"  ".repeat(level)}}`;
}

function comment(checker: Checker, symbol: TypeSymbol, indent: string): string {
  const text = symbol.getDocumentationComment(checker).trim();
  if (!text) return "";
  const lines = text.replaceAll("*/", "*\\/").split("\n");
  return lines.length === 1
    ? `${indent}/** ${lines[0]} */\n`
    : `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join("")}${indent} */\n`;
}
