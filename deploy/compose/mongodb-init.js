// Run by mongosh in the mongodb-init container: one member, once. The member's name is also the Service's name inside the k3s node.
const LIMIT_MS = 60_000;

try {
  rs.status();
} catch (error) {
  if (error.codeName !== 'NotYetInitialized') throw error;
  rs.initiate({ _id: 'rs0', members: [{ _id: 0, host: 'mongodb:27017' }] });
}

const deadline = Date.now() + LIMIT_MS;
while (!db.hello().isWritablePrimary) {
  if (Date.now() > deadline) throw new Error(`rs0 has no primary after ${LIMIT_MS / 1000} s`);
  sleep(200);
}
print('rs0 has a primary');
