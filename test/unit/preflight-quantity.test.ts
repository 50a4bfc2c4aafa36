import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatQuantity, parseQuantity } from '../../src/domain/preflight/quantity.ts';

describe('a quantity', () => {
  // Values of k8s.io/apimachinery/pkg/api/resource.
  it.each([
    ['0', 0n],
    ['1', 1_000n],
    ['500m', 500n],
    ['0.5', 500n],
    ['.5', 500n],
    ['1.', 1_000n],
    ['-2', -2_000n],
    ['+2', 2_000n],
    ['1Ki', 1_024_000n],
    ['1.5Gi', 1_610_612_736_000n],
    ['128Mi', 134_217_728_000n],
    ['1k', 1_000_000n],
    ['100M', 100_000_000_000n],
    ['2e3', 2_000_000n],
    ['1E', 1_000_000_000_000_000_000_000n],
    ['1E3', 1_000_000n],
    ['12e-3', 12n],
    ['1u', 1n],
    ['1500u', 2n],
    ['1n', 1n],
  ])('%s is %d thousandths', (text, thousandths) => {
    expect(parseQuantity(text)).toBe(thousandths);
  });

  it.each(['', 'x', '1KB', '1ki', '1 Gi', '1Gi2', '--1', '1e', 'Mi', '.', '0x10'])('%j is none', (text) => {
    expect(parseQuantity(text)).toBeNull();
  });

  it('is read back as it is shown', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 62n }),
        fc.constantFrom('cpu', 'memory', 'pods'),
        (amount, resource) => {
          expect(parseQuantity(formatQuantity(amount, resource))).toBe(amount);
        },
      ),
    );
  });
});
