from dicomfab.identity.ldap_settings import LdapServer, LdapSettings
__all__ = ["LdapServer", "LdapSettings"]
