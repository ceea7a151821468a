package mesh

import "context"

// Enqueue is the first half of CommitAll, so that a test knows in which order calls were admitted; what
// it returns is the second.
func (c *Committer) Enqueue(ctx context.Context, events []Event) (func() ([]Receipt, error), error) {
	group, stream, err := c.group(ctx, events)
	if err != nil {
		return nil, err
	}
	if err := stream.enqueue(ctx, group); err != nil {
		return nil, err
	}
	return func() ([]Receipt, error) { return stream.awaitAll(ctx, group) }, nil
}
