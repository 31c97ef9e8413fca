/** The version of the protocol that this package speaks. It grows when something that was there changes or goes; what is added does not make it grow. */
export const PROTOCOL_VERSION = 1
