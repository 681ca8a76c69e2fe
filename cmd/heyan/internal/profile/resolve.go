package profile

// Layer is what one of flags, environment and profile states.
type Layer struct {
	Profile
	APIKey string // the key itself; only the environment states one
}

// Environment reads HEYAN_ADDRESS, HEYAN_CA_FILE, HEYAN_CERT_FILE, HEYAN_KEY_FILE, HEYAN_API_KEY,
// HEYAN_API_KEY_FILE and HEYAN_SERVER_NAME.
func Environment(lookup func(string) (string, bool)) Layer {
	get := func(name string) string {
		value, _ := lookup(name)
		return value
	}
	return Layer{
		Profile: Profile{
			Address:    get("HEYAN_ADDRESS"),
			CAFile:     get("HEYAN_CA_FILE"),
			CertFile:   get("HEYAN_CERT_FILE"),
			KeyFile:    get("HEYAN_KEY_FILE"),
			APIKeyFile: get("HEYAN_API_KEY_FILE"),
			ServerName: get("HEYAN_SERVER_NAME"),
		},
		APIKey: get("HEYAN_API_KEY"),
	}
}

// Resolve merges layers, the first one winning: address, authorities and server name each from the first layer that
// states it, the credential whole from the first layer that states any part of one.
func Resolve(layers ...Layer) Layer {
	var merged Layer
	credential := false
	for _, layer := range layers {
		take(&merged.Address, layer.Address)
		take(&merged.CAFile, layer.CAFile)
		take(&merged.ServerName, layer.ServerName)
		if credential {
			continue
		}
		merged.CertFile, merged.KeyFile = layer.CertFile, layer.KeyFile
		merged.APIKeyFile, merged.APIKey = layer.APIKeyFile, layer.APIKey
		credential = layer.CertFile != "" || layer.KeyFile != "" || layer.APIKeyFile != "" || layer.APIKey != ""
	}
	return merged
}

func take(member *string, value string) {
	if *member == "" {
		*member = value
	}
}
