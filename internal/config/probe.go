package config

// Probe makes a program the health check of its own container: an image
// without a shell has no other program that could ask.
type Probe struct {
	HealthCheck bool `help:"Ask the program that runs with these settings whether it is ready; exit code 0 or 1. For the health check of a container."`
}
