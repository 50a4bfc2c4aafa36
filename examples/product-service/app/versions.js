/**
 * What each released version does differently. The image's APP_VERSION picks one, so one source builds a whole history of
 * good and bad releases. Three of the faults are honest ones: a file that was not packed, an index that nobody
 * creates, a share of requests that run into a broken code path.
 *
 * @typedef {object} Behaviour
 * @property {'scan' | 'text-index'} search how GET /products?q= finds products
 * @property {number} failingPercent share of GET /products and /products/:id that answer 500, in percent
 * @property {string | undefined} requiredFile a file that must be in the image, or the process cannot start
 * @property {string | undefined} requiredIndex an index that must exist before the version calls itself ready
 */

/** @type {Behaviour} */
const good = { search: 'text-index', failingPercent: 0, requiredFile: undefined, requiredIndex: undefined };

/** @type {Readonly<Record<string, Behaviour>>} */
const behaviours = {
  'v1.0.0': { ...good, search: 'scan' },
  'v1.1.0': good,
  'v1.2.0': { ...good, failingPercent: 30 },
  'v1.3.0': { ...good, requiredFile: 'search-synonyms.json' },
  'v1.4.0': { ...good, requiredIndex: 'search_v2' },
};

/**
 * @param {string} version as in the image's tag, for example `v1.1.0`
 * @returns {Behaviour} a version that is not in the table behaves like the newest good one
 */
export function behaviourOf(version) {
  return behaviours[version] ?? good;
}

/**
 * Says "fail" for exactly `percent` of every hundred calls, evenly spread, so that a demo or a test sees the same share each time.
 *
 * @param {number} percent
 * @returns {() => boolean}
 */
export function evenShare(percent) {
  let sum = 0;
  return () => {
    sum += percent;
    if (sum < 100) return false;
    sum -= 100;
    return true;
  };
}
