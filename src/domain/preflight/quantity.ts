/** Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) as exact whole thousandths. */

const BINARY: Record<string, bigint> = {
  Ki: 2n ** 10n,
  Mi: 2n ** 20n,
  Gi: 2n ** 30n,
  Ti: 2n ** 40n,
  Pi: 2n ** 50n,
  Ei: 2n ** 60n,
};
/** Powers of ten. */
const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const FORM = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:([KMGTPE]i)|[eE]([+-]?\d{1,3})|([numkMGTPE]?))$/;

/** Thousandths of a quantity, rounded up as Kubernetes does; `null` when the text is not a quantity. */
export function parseQuantity(text: string): bigint | null {
  const match = FORM.exec(text.trim());
  if (!match) return null;
  const [, sign, number = '', binary, exponent, suffix = ''] = match;
  const [whole = '', fraction = ''] = number.split('.');
  const digits = BigInt(`${whole}${fraction}` || '0') * (binary ? (BINARY[binary] ?? 1n) : 1n);
  const power = 3 - fraction.length + (exponent ? Number(exponent) : (DECIMAL[suffix] ?? 0));
  const thousandths = power >= 0 ? digits * 10n ** BigInt(power) : ceilDivide(digits, 10n ** BigInt(-power));
  return sign === '-' ? -thousandths : thousandths;
}

function ceilDivide(a: bigint, b: bigint): bigint {
  return (a + b - 1n) / b;
}

/** A quantity for people: memory in binary units, everything else in thousandths or whole. */
export function formatQuantity(thousandths: bigint, resource: string): string {
  const whole = thousandths / 1000n;
  if (/memory|storage/.test(resource) && thousandths % 1000n === 0n) {
    for (const unit of ['Ti', 'Gi', 'Mi', 'Ki']) {
      const size = BINARY[unit] ?? 1n;
      if (whole !== 0n && whole % size === 0n) return `${whole / size}${unit}`;
    }
  }
  return thousandths % 1000n === 0n ? String(whole) : `${thousandths}m`;
}
