package config

import (
	"time"

	"callfleet/internal/config/target"
)

// Claims say where bodies are kept that are too large to travel.
type Claims struct {
	Blobs      target.Target `help:"Store of bodies that are too large to travel: ${blobs_forms}. Unset, it is that of the queue's broker; with an sqs:// queue there is none, and a larger answer fails." env:"CALLFLEET_BLOBS" placeholder:"URL" group:"Large bodies:"`
	ClaimAbove int           `help:"Largest body of an answer, and most params of a request, that travel, in bytes; Step Functions takes 256 KiB with all around them." env:"CALLFLEET_CLAIM_ABOVE" default:"204800" group:"Large bodies:"`
	BlobLimit  int           `help:"Largest body that is kept, in bytes." env:"CALLFLEET_BLOB_LIMIT" default:"100000000" group:"Large bodies:"`
	BlobExpiry time.Duration `help:"How long a body is kept; 0s is what the store says, and 7 days for a new one. A bucket of S3 has a rule for it." env:"CALLFLEET_BLOB_EXPIRY" default:"0s" group:"Large bodies:"`
}

// maxClaimAbove leaves room for headers in the output of a task.
const maxClaimAbove = 240 << 10

func (c Claims) check(p *problems, s Schemes) {
	p.checkTarget("blobs", c.Blobs, blobsForms, s.Blobs)
	if c.ClaimAbove < 1 || c.ClaimAbove > maxClaimAbove {
		p.add("claim-above", "want 1 to %d, what Step Functions takes with room for headers, not %d", maxClaimAbove, c.ClaimAbove)
	}
	p.atLeast("blob-limit", c.BlobLimit, 1)
	if c.BlobExpiry != 0 && c.BlobExpiry < time.Second {
		p.add("blob-expiry", "want 1s or more, or 0s for the store's own, not %s", c.BlobExpiry)
	}
}
