/** Names of collections that a restore fills before it swaps them in. Dumps leave them out. */
export const stagingPrefix = '__slipway_restore_';
