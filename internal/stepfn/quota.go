package stepfn

// Quotas are requests per second that AWS takes from one account in one
// region, all its programs together, once its bucket is empty.
type Quotas struct {
	// StartExecution starts executions of standard state machines. The bucket
	// holds StartBurst.
	StartExecution, StartBurst float64
	// SendTask is for SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat,
	// each. The bucket holds SendTaskBurst.
	SendTask, SendTaskBurst float64
}

// QuotasOf returns the quotas that every account has in a region before it asks
// for more (AWS Step Functions Developer Guide, "Step Functions service
// quotas", quotas related to API action throttling, as of 2026).
func QuotasOf(region string) Quotas {
	switch region {
	case "us-east-1", "us-west-2", "eu-west-1":
		return Quotas{StartExecution: 300, StartBurst: 1300, SendTask: 500, SendTaskBurst: 3000}
	}
	return Quotas{StartExecution: 150, StartBurst: 800, SendTask: 300, SendTaskBurst: 1500}
}
