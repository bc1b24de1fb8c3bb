export const SAMPLE_REPLY = `A **lease** is a claim with a deadline. A worker that wants a job sets \`leased_until\` and increments the \`attempt\` in one statement:

\`\`\`rust
/// Claims a job; none if another worker holds it.
async fn claim(db: &Database, now: Timestamp) -> Result<Option<Job>> {
    let lease = now + Duration::from_secs(30);
    db.query_one("UPDATE job SET leased_until = ?, attempt = attempt + 1 \\
                  WHERE id = ? AND leased_until < ? RETURNING *", [lease, now])
        .await
}
\`\`\`

Three things follow from it:

1. While the lease is valid, no other worker can claim the job.
2. If the worker dies, the job is free again after at most 30 seconds.
3. Everything that the worker writes carries its \`attempt\`, so that a worker that was presumed dead is rejected.

| event | attempt | who may write |
|---|---:|---|
| first claim | 1 | worker A |
| A stops responding | 1 | no worker |
| lease expires, B claims | 2 | worker B |

See [the design](https://example.com/design) for the details.
`;
