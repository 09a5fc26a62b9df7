// Package asl reads Amazon States Language definitions (JSONPath) into
// programs that the machine runs. A Program is never written to after Parse.
package asl
