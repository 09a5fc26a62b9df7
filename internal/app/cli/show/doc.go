// Package show writes what the commands found for people to read: tables,
// histories, limits.
package show
